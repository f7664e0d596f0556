// s3:, arn: and gs: URLs: what they name, and which request reads it. No I/O.

import Encoding
import IgnitionConfig

/// An object in Amazon S3, as named by `s3://BUCKET/KEY?versionId=` or an ARN.
struct S3Object: Equatable {
    var bucket: String
    /// The key, unescaped and without leading slashes.
    var key: String
    var version: String?
    /// The region that is asked for the bucket's region.
    var lookupRegion: String
    /// The access point, whose name is then in `bucket`; `nil` for a plain bucket.
    var accessPoint: AccessPoint?

    struct AccessPoint: Equatable {
        var region: String
        var account: String
    }

    /// Reads an s3: or arn: URL; `nil` if it names no object.
    ///
    /// - Parameters:
    ///   - url: The parsed URL.
    ///   - region: The region of the instance.
    init?(_ url: SourceURL, instanceRegion region: String?) {
        version = url.query.flatMap(Self.version)
        if url.scheme == "s3" {
            bucket = url.host
            key = String(decoding: percentDecoded(url.path.drop { $0 == "/" }), as: UTF8.self)
            lookupRegion = region ?? "us-east-1"
        } else {
            // arn:PARTITION:s3:REGION:ACCOUNT:RESOURCE
            let fields = url.path.split(separator: ":", maxSplits: 4, omittingEmptySubsequences: false)
            guard fields.count == 5, fields[1] == "s3" else { return nil }
            lookupRegion =
                switch fields[0] {
                case "aws-cn": "cn-north-1"
                case "aws-us-gov": "us-gov-west-1"
                default: "us-east-1"
                }
            let parts = fields[4].split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
            if parts[0] == "accesspoint" {
                guard parts.count == 4, parts[2] == "object" else { return nil }
                accessPoint = AccessPoint(region: String(fields[2]), account: String(fields[3]))
                bucket = String(parts[1])
                key = String(parts[3])
            } else {
                bucket = String(parts[0])
                key = String(fields[4].dropFirst(bucket.count + 1))
            }
        }
        if bucket.isEmpty || key.isEmpty { return nil }
    }

    private static func version(_ query: String) -> String? {
        let fields = query.split(separator: "&").filter { $0.hasPrefix("versionId=") }
        return fields.first.map { String(decoding: percentDecoded($0.dropFirst(10)), as: UTF8.self) }
    }

    /// Asked with HEAD; the answer's `x-amz-bucket-region` counts, whatever its status.
    var lookupURL: SourceURL {
        get throws(SourceURL.Fault) {
            try SourceURL(parsing: "https://\(Self.endpoint(lookupRegion))/\(percentEncoded(bucket))")
        }
    }

    /// The host, path and query that read the object, escaped; an access point knows its own region.
    func request(in region: String) -> (host: String, path: String, query: [(name: String, value: String)]) {
        let query = version.map { [(name: "versionId", value: percentEncoded($0))] } ?? []
        let path = "/" + percentEncoded(key, keeping: "/")
        if let accessPoint {
            let region = accessPoint.region
            let host = "\(bucket)-\(accessPoint.account).s3-accesspoint.dualstack.\(region).\(Self.domain(region))"
            return (host, path, query)
        }
        // Other names do not fit a host name, or the wildcard certificate is not valid for them.
        let fitsHost = 3...63 ~= bucket.utf8.count && bucket.utf8.allSatisfy(Self.isHostByte)
        let endpoint = Self.endpoint(region)
        return fitsHost
            ? ("\(bucket).\(endpoint)", path, query) : (endpoint, "/\(percentEncoded(bucket))\(path)", query)
    }

    private static func endpoint(_ region: String) -> String { "s3.dualstack.\(region).\(domain(region))" }
    private static func domain(_ region: String) -> String {
        region.hasPrefix("cn-") ? "amazonaws.com.cn" : "amazonaws.com"
    }
    private static func isHostByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"): true
        default: false
        }
    }
}

/// The URL that reads an object of Google Cloud Storage; `nil` if the URL names none.
func googleStorageURL(_ url: SourceURL) -> SourceURL? {
    let object = String(decoding: percentDecoded(url.path.drop { $0 == "/" }), as: UTF8.self)
    guard !url.host.isEmpty, !object.isEmpty else { return nil }
    return try? SourceURL(
        parsing: "https://storage.googleapis.com/storage/v1/b/\(percentEncoded(url.host))/o/"
            + "\(percentEncoded(object))?alt=media")
}
