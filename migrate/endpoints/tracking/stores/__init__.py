"""What a tracking server keeps, a module for each kind of object."""
