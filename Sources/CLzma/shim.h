// The one header that Swift reads of liblzma.
#pragma once
#include <lzma.h>
