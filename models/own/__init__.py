"""Networks of the user's own: a function in a file or a module that builds one."""
