"""From texts to vectors, on a CPU or a GPU, in this process or a shared one."""
