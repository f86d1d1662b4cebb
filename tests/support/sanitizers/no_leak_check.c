/* Linked into what ends in a container's mount namespace: LeakSanitizer looks its threads up in /proc, which is that of the
   container there and doesn't know them. */
const char* __asan_default_options(void);
const char* __asan_default_options(void) { return "detect_leaks=0"; }
