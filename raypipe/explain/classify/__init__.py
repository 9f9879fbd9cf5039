"""From what models wrote to the emotion each answer names, and the table of the paper."""
