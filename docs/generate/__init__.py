"""What is written from other files of the project, and committed: pages, a picture, sample events, queries in the template."""
