// libdevmapper, and a way to keep it from writing to the console by itself.
#pragma once
#include <libdevmapper.h>

static void firstlight_dm_no_words(int level, const char *file, int line, int code, const char *format, ...) {
    (void)level, (void)file, (void)line, (void)code, (void)format;
}

static inline void firstlight_dm_be_quiet(void) { dm_log_with_errno_init(firstlight_dm_no_words); }
