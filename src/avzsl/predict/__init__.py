"""From media files to class names."""
