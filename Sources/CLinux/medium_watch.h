// For supervisor.c.
#pragma once

// A copy of a program in RAM, as a descriptor that is closed by exec; -1 where there is none.
int firstlight_copy_program(const char *path);

// Leaves a process behind that tells when `device` can no longer be read. Called in the real root, signals unblocked.
void firstlight_watch_medium(int busybox, const char *device);
