"""Lambda's real Python runtime on this machine: the official interface client under the official interface emulator."""
