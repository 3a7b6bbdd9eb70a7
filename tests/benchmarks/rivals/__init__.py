"""The programs that smpatch is measured against, each a process of its own."""
