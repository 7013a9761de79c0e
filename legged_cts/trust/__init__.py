"""What may be read from a stranger's file: names, plain values, archives, all of bounded size."""
