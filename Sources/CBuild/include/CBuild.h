// What `make agent` knows of the build: nothing of it is known in a debug build.
#pragma once
#include <stdint.h>

/// The date of the sources that this was built from, in seconds since 1970; 0 where it is not known.
int64_t firstlight_build_date(void);

/// The libraries that this was linked from: a line each, name, version and where it comes from, separated by
/// tabs. Empty where they are not known.
const char *firstlight_build_libraries(void);
