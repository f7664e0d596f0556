// The one header that Swift reads of libyaml.
#pragma once
#include <yaml.h>
