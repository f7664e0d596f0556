// The one header that Swift reads of libblkid.
#pragma once
#include <blkid.h>
