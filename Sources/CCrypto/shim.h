// The one header that Swift reads of OpenSSL's libcrypto.
#pragma once
#include <openssl/evp.h>
