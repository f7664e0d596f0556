// The one header that Swift reads of libmount.
#pragma once
#include <libmount.h>
