"""Files of objects: where a location leads, by what way it is reached, and how it is read.

Of whichever endpoint names it; nothing here knows a tracking server.
"""
