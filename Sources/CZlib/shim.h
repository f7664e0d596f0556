// The one header that Swift reads of zlib.
#pragma once
#include <zlib.h>
