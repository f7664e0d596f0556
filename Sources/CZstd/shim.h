// The headers that Swift reads of libzstd.
#pragma once
#include <zstd.h>
#include <zstd_errors.h>
