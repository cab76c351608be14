"""What makes a site a file system of fsspec."""
