"""Stemcell images: unpacked from archives or from OCI images."""
