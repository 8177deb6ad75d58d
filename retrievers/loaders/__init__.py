"""One loader a kind of file: bytes in, text with its structure out. They run in a child process (`retrievers.parsing`)."""
