// Fetching: content from elsewhere: HTTP, HTTPS and TFTP through libcurl, hashes, gzip.
// Pure values decide what a fault means: TransferFault, RetryPolicy, ResponseHead, ProxyRules.

import CCurl
import Glibc

/// Whether libcurl was initialized, once per process and before the first handle.
let curlIsReady: Bool = {
    // OpenSSL writes to sockets that the other side has closed; that is an error to report, not a reason to exit.
    signal(SIGPIPE, SIG_IGN)
    return curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK
}()

/// The seconds of a monotonic clock.
public func monotonicSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// Sleeps for the given time, even if signals interrupt it.
public func sleep(seconds: Double) {
    // Limited to what a timespec holds; `max` returns 0 for NaN.
    let seconds = min(max(0, seconds), 1e9)
    var wanted = timespec(tv_sec: Int(seconds), tv_nsec: Int((seconds - seconds.rounded(.down)) * 1e9))
    var left = timespec()
    while nanosleep(&wanted, &left) != 0, errno == EINTR { wanted = left }
}

/// Sleeps for the given time, and wakes soon after `isCancelled` becomes true.
public func sleep(seconds: Double, unless isCancelled: () -> Bool) {
    let end = monotonicSeconds() + seconds
    while !isCancelled(), case let left = end - monotonicSeconds(), left > 0 { sleep(seconds: min(left, 0.25)) }
}

/// Seconds for messages, rounded up.
func wholeSeconds(_ seconds: Double) -> Int { Int(exactly: seconds.rounded(.up)) ?? .max }
