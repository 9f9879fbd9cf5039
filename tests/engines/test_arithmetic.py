import pytest
import torch

from raypipe.engines.arithmetic import as_asked


def switches():
    return (
        torch.backends.cudnn.allow_tf32,
        torch.get_float32_matmul_precision(),
        torch.backends.cuda.cudnn_sdp_enabled(),
    )


def fail_inside(dtype, expected):
    with as_asked(dtype):
        assert switches() == expected
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("dtype", "inside"),
    [(torch.float32, (False, "highest", False)), (torch.bfloat16, (True, "high", False))],
)
def test_switches_are_set_and_come_back_even_after_an_error(dtype, inside):
    torch.set_float32_matmul_precision("high")
    try:
        before = switches()
        assert before == (True, "high", True)
        with pytest.raises(ZeroDivisionError):
            fail_inside(dtype, inside)
        assert switches() == before
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_float32_on_a_gpu_is_that_of_a_cpu():
    generator = torch.Generator().manual_seed(0)
    audio, kernel = torch.randn(4, 80, 300, generator=generator), torch.randn(64, 80, 3)
    expected = torch.nn.functional.conv1d(audio.double(), kernel.double()).float()
    with as_asked(torch.float32):
        mine = torch.nn.functional.conv1d(audio.cuda(), kernel.cuda()).cpu()
    torch.testing.assert_close(mine, expected, atol=1e-4, rtol=1e-5)
