"""Processes that may die, hang or fill the memory without harm to the one that started them."""
