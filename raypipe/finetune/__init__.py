"""LoRA fine-tuning of audio language models on exported answers; nothing here knows Ray."""
