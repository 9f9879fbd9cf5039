"""One file per preset; the folder is scanned."""
