"""The library in the shape of other projects' clients, for programs that are written for those."""
