// The one header that Swift reads of libfdisk.
#pragma once
#include <libfdisk.h>
