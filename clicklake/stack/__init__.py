"""The services of the stack, one file each, and what installs, starts, watches and stops them."""
