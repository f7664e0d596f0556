// The headers that Swift reads of OpenSSL's libcrypto.
#pragma once
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
