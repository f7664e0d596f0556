// The one header that Swift reads of libcryptsetup.
#pragma once
#include <libcryptsetup.h>
