// Any bytes as what a web server sends to a transfer of ours, and as a URL.
// with: -l:libcurl.a -lssl -lcrypto -lz -lpthread

#include <curl/curl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int ends[2];

static curl_socket_t opened(void *context, curlsocktype purpose, struct curl_sockaddr *address) {
    (void)context, (void)purpose, (void)address;
    int given = ends[0];
    ends[0] = -1;
    return given < 0 ? CURL_SOCKET_BAD : given;
}

static int connected(void *context, curl_socket_t socket, curlsocktype purpose) {
    (void)context, (void)socket, (void)purpose;
    return CURL_SOCKOPT_ALREADY_CONNECTED;
}

static size_t taken(char *bytes, size_t size, size_t count, void *context) {
    (void)bytes, (void)context;
    return size * count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count) {
    static int ready;
    if (!ready++) curl_global_init(CURL_GLOBAL_DEFAULT);
    if (count < 2) return 0;

    char *text = strndup((const char *)data + 1, count - 1);
    CURLU *url = curl_url();
    if (curl_url_set(url, CURLUPART_URL, text, CURLU_PATH_AS_IS) == 0) {
        char *part;
        for (CURLUPart which = CURLUPART_URL; which <= CURLUPART_ZONEID; which++)
            if (curl_url_get(url, which, &part, 0) == 0) curl_free(part);
    }
    curl_url_cleanup(url);
    free(text);

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) return 0;
    write(ends[1], data + 1, count - 1);
    shutdown(ends[1], SHUT_WR);
    CURL *transfer = curl_easy_init();
    curl_easy_setopt(transfer, CURLOPT_URL, "http://192.0.2.1/config");
    curl_easy_setopt(transfer, CURLOPT_PROTOCOLS_STR, "http,https,tftp");
    curl_easy_setopt(transfer, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(transfer, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(transfer, CURLOPT_HTTP09_ALLOWED, 0L);
    curl_easy_setopt(transfer, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(transfer, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(transfer, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(transfer, CURLOPT_TIMEOUT_MS, 1000L);
    curl_easy_setopt(transfer, CURLOPT_NOBODY, data[0] & 1 ? 1L : 0L);
    // Through a proxy: its answer comes first.
    curl_easy_setopt(transfer, CURLOPT_PROXY, data[0] & 2 ? "http://192.0.2.2:8080" : "");
    curl_easy_setopt(transfer, CURLOPT_HTTPPROXYTUNNEL, data[0] & 4 ? 1L : 0L);
    curl_easy_setopt(transfer, CURLOPT_OPENSOCKETFUNCTION, opened);
    curl_easy_setopt(transfer, CURLOPT_SOCKOPTFUNCTION, connected);
    curl_easy_setopt(transfer, CURLOPT_WRITEFUNCTION, taken);
    curl_easy_setopt(transfer, CURLOPT_HEADERFUNCTION, taken);
    if (curl_easy_perform(transfer) == CURLE_OK) {
        long status;
        curl_off_t length;
        curl_easy_getinfo(transfer, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(transfer, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    }
    curl_easy_cleanup(transfer);
    if (ends[0] >= 0) close(ends[0]);
    close(ends[1]);
    return 0;
}
