"""The finetune job: an export in, a LoRA adapter, its curve and a report out."""
