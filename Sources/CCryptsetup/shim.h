// libcryptsetup, and those of its flags that Swift cannot read because their macros hold a cast.
#pragma once
#include <libcryptsetup.h>

static const uint32_t firstlight_crypt_readonly = CRYPT_ACTIVATE_READONLY;
static const uint32_t firstlight_crypt_private = CRYPT_ACTIVATE_PRIVATE;
static const uint32_t firstlight_crypt_allow_discards = CRYPT_ACTIVATE_ALLOW_DISCARDS;
static const uint32_t firstlight_crypt_same_cpu = CRYPT_ACTIVATE_SAME_CPU_CRYPT;
static const uint32_t firstlight_crypt_submit_from_cpus = CRYPT_ACTIVATE_SUBMIT_FROM_CRYPT_CPUS;
static const uint32_t firstlight_crypt_no_read_workqueue = CRYPT_ACTIVATE_NO_READ_WORKQUEUE;
static const uint32_t firstlight_crypt_no_write_workqueue = CRYPT_ACTIVATE_NO_WRITE_WORKQUEUE;
static const uint32_t firstlight_crypt_no_benchmark = CRYPT_PBKDF_NO_BENCHMARK;
