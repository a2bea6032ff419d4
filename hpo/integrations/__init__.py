"""What people use already, with what this project has: each module is imported only by who uses it."""
