"""Becomes the program given as arguments, which the kernel ends when the starter dies.

Run as a script, so that even a service killed with -9 leaves no Triton behind.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    starter, program = int(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() == starter:
        os.execv(program[0], program)  # noqa: S606 - no shell: our own server
