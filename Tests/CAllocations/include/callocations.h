#ifndef CALLOCATIONS_H
#define CALLOCATIONS_H

/// Counts this process's calls of `malloc` and its kin, from all threads, between `ca_begin` and `ca_end`.
/// Where the C library's functions cannot be replaced (anything but glibc) nothing is counted and `ca_counts` is 0.
int ca_counts(void);
void ca_begin(void);
/// How many calls asked for memory since `ca_begin`, and for how many bytes together.
long ca_end(long *bytes);
#endif
