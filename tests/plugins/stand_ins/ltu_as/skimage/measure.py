"""Stand-in for ``skimage.measure``: the mean of whole blocks."""


def block_reduce(image, block_size=2, func=None, cval=0, func_kwargs=None):
    layers, frames, width = image.shape
    assert block_size == (1, 20, 1)
    return func(image.reshape(layers, frames // 20, 20, width), axis=2)
