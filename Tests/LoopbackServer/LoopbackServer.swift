// LoopbackServer: real servers for tests, on 127.0.0.1, that misbehave as told; see Fixtures/servers.

import CLinux
import Glibc
import LinuxSystem
import SystemPackage

/// A folder that is gone with the value.
public final class TemporaryFolder: Sendable {
    public let path: FilePath

    public init() throws {
        var template = Array("/tmp/firstlight-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Errno(rawValue: errno) }
        path = FilePath(String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }

    deinit { remove(path) }

    private func remove(_ path: FilePath) {
        guard Files.status(path, followingLinks: false).map({ $0.st_mode & S_IFMT == S_IFDIR }) == true else {
            unlink(path.string)
            return
        }
        for name in Files.names(in: path) { remove(path.appending(name)) }
        rmdir(path.string)
    }
}

/// A server process and the files it serves; it ends with the value.
public final class LoopbackServer: Sendable {
    /// One request as the server saw it.
    public struct Request: Sendable {
        public var method: String
        public var path: String
        public var status: Int
        /// Bytes of the body that were sent.
        public var sent: Int
        /// Names in lower case.
        public var headers: [String: String]
    }

    public let folder: TemporaryFolder
    public let port: Int
    private let process: pid_t
    private let scheme: String

    /// - Parameters:
    ///   - files: Contents by path, without a leading slash.
    ///   - scripts: What to do with the requests of a path, `/path=behaviour;behaviour`.
    ///   - tls: A PEM file with a key and a certificate: the server then speaks HTTPS.
    public convenience init(_ files: [String: [UInt8]], scripts: [String] = [], tls: FilePath? = nil) throws {
        try self.init(
            files, program: "http_server.py", scheme: tls == nil ? "http" : "https",
            arguments: (tls.map { ["--tls", $0.string] } ?? []) + scripts)
    }

    /// A TFTP server whose first transfer falls silent after so many blocks.
    public convenience init(tftp files: [String: [UInt8]], silentAfter: Int? = nil) throws {
        try self.init(
            files, program: "tftp_server.py", scheme: "tftp",
            arguments: silentAfter.map { ["silent-after=\($0)"] } ?? [])
    }

    private init(_ files: [String: [UInt8]], program: String, scheme: String, arguments: [String]) throws {
        folder = try TemporaryFolder()
        self.scheme = scheme
        for (name, bytes) in files {
            let path = folder.path.appending(name)
            try Files.makeFolder(path.removingLastComponent())
            try Files.write(bytes, to: path)
        }
        let script = FilePath(#filePath).removingLastComponent().appending("../../Fixtures/servers/\(program)")
        let words = ["python3", "-I", script.string, folder.path.string, "\(folder.path)/.log"] + arguments
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw Errno(rawValue: errno) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        defer { close(ends[0]) }
        var argv: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { argv.forEach { free($0) } }
        var envp: [UnsafeMutablePointer<CChar>?] = [nil]
        process = firstlight_spawn("/usr/bin/python3", &argv, &envp, nil, -1, ends[1], 2, false, false)
        close(ends[1])
        guard process > 0 else { throw Errno(rawValue: -process) }
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while read(ends[0], &byte, 1) == 1, byte != 0x0a { line.append(byte) }
        guard let port = Int(String(decoding: line, as: UTF8.self)) else { throw Errno.connectionRefused }
        self.port = port
    }

    deinit {
        guard process > 0 else { return }
        kill(process, SIGKILL)
        var status: Int32 = 0
        waitpid(process, &status, 0)
    }

    public func url(_ path: String) -> String { "\(scheme)://127.0.0.1:\(port)\(path)" }

    public var requests: [Request] {
        (Files.line(folder.path.appending(".log")) ?? "").split(separator: "\n").map { line in
            let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            guard fields.count >= 4 else {
                return Request(method: "", path: fields[0], status: 0, sent: 0, headers: [:])
            }
            var headers: [String: String] = [:]
            for field in fields.dropFirst(4) {
                guard let colon = field.firstIndex(of: ":") else { continue }
                headers[String(field[..<colon])] = String(field[colon...].dropFirst(2))
            }
            return Request(
                method: fields[0], path: fields[1], status: Int(fields[2]) ?? 0, sent: Int(fields[3]) ?? 0,
                headers: headers)
        }
    }

    /// The same, valid in a time of one's own: `20990101000000Z`.
    public static func makeCertificate(in folder: FilePath, from start: String, to end: String) throws -> FilePath {
        let pem = folder.appending("server.pem")
        func file(_ name: String) -> String { folder.appending(name).string }
        try Files.write(
            """
            [ca]
            default_ca = tests
            [tests]
            database = \(file("index.txt"))
            rand_serial = yes
            new_certs_dir = \(folder)
            default_md = sha256
            policy = any
            copy_extensions = copy
            [any]
            commonName = supplied

            """, to: folder.appending("ca.cnf"))
        try Files.write("", to: folder.appending("index.txt"))
        try Command(
            "openssl",
            [
                "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
                "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", pem.string, "-out", file("csr"),
            ]
        ).run()
        try Command(
            "openssl",
            [
                "ca", "-batch", "-config", file("ca.cnf"), "-notext", "-selfsign", "-keyfile", pem.string,
                "-startdate", start, "-enddate", end, "-in", file("csr"), "-out", "\(pem).crt",
            ]
        ).run()
        try Files.write(try Files.read(pem) + Files.read(FilePath("\(pem).crt")), to: pem)
        return pem
    }

    /// Makes a key and a certificate of its own for 127.0.0.1; returns a PEM file with both.
    public static func makeCertificate(in folder: FilePath) throws -> FilePath {
        let pem = folder.appending("server.pem")
        try Command(
            "openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", pem.string, "-out",
                "\(pem).crt",
            ]
        ).run()
        try Files.write(try Files.read(pem) + Files.read(FilePath("\(pem).crt")), to: pem)
        return pem
    }
}
