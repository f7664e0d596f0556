// The one header that Swift reads of libzstd.
#pragma once
#include <zstd.h>
