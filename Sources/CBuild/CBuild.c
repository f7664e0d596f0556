#include "CBuild.h"

// Written by `make agent`; its folder is on the include path of that build alone.
#if __has_include(<firstlight-build.h>)
#include <firstlight-build.h>
#else
#define FIRSTLIGHT_BUILD_DATE 0
#define FIRSTLIGHT_BUILD_LIBRARIES ""
#endif

int64_t firstlight_build_date(void) { return FIRSTLIGHT_BUILD_DATE; }

const char *firstlight_build_libraries(void) { return FIRSTLIGHT_BUILD_LIBRARIES; }
