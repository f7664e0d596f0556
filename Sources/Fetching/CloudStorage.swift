// Access to cloud storage: credentials, and requests that are made with them.

import Encoding

/// The provider whose storage has an object.
public enum CloudStorage: Sendable { case amazon, google }

/// What a platform says about the machine's rights and region; what is `nil` is not used.
public struct CloudCredentials: Equatable, Sendable {
    /// The keys for Amazon S3.
    public var aws: AWSCredentials?
    /// The region of the instance, which is asked first for a bucket's region.
    public var awsRegion: String?
    /// An OAuth token of the instance's service account for Google Cloud Storage.
    public var googleToken: String?

    /// Creates credentials; without arguments there are none.
    public init(aws: AWSCredentials? = nil, awsRegion: String? = nil, googleToken: String? = nil) {
        self.aws = aws
        self.awsRegion = awsRegion
        self.googleToken = googleToken
    }
}

extension S3Object {
    /// The request for the object, signed if there are credentials.
    ///
    /// The time has the form `20130524T000000Z`.
    func signedRequest(
        in region: String, as credentials: AWSCredentials?, time: String
    ) throws(SourceURL.Fault) -> (url: SourceURL, headers: [(name: String, value: String)]) {
        let (host, path, query) = request(in: region)
        let suffix = query.isEmpty ? "" : "?" + query.map { "\($0.name)=\($0.value)" }.joined(separator: "&")
        let url = try SourceURL(parsing: "https://\(host)\(path)\(suffix)")
        guard let credentials else { return (url, []) }
        var headers = [
            (name: "x-amz-content-sha256", value: RequestSignature.emptyPayload), (name: "x-amz-date", value: time),
        ]
        if let token = credentials.sessionToken { headers.append(("x-amz-security-token", token)) }
        let signature = RequestSignature(
            credentials: credentials, region: accessPoint?.region ?? region, time: time)
        let value = signature.authorization(
            method: "GET", path: path, query: query, headers: headers + [(name: "host", value: host)])
        return (url, headers + [(name: "Authorization", value: value)])
    }
}
