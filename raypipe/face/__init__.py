"""What ``import raypipe`` offers to a program or a notebook.

Nothing heavy is imported before it is needed: Ray with the first job, torch with the first model.
"""
