"""What a task may say: the typed description of the task tree, and command lines checked against it."""
