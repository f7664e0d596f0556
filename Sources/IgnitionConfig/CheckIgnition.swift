// Rules for the sections ignition, passwd and kernelArguments.

import Encoding

extension Checker {
    mutating func check(_ ignition: IgnitionConfig.Ignition) {
        let origin = ignition.origin
        checkDuplicates(ignition.config.merge, in: origin, "config.merge", key: "source") { $0.source?.text }
        check(ignition.config.merge, in: origin, "config.merge", isRequired: true)
        check(ignition.config.replace, origin, "config.replace.")
        let authorities = ignition.security.tls.certificateAuthorities
        checkDuplicates(authorities, in: origin, "security.tls.certificateAuthorities", key: "source") {
            $0.source?.text
        }
        check(authorities, in: origin, "security.tls.certificateAuthorities", isRequired: true)
        check(ignition.proxy)
        for (field, seconds) in [
            ("httpResponseHeaders", ignition.timeouts.httpResponseHeaders), ("httpTotal", ignition.timeouts.httpTotal),
        ] {
            if let seconds, seconds < 0 {
                warn(
                    ignition.timeouts.origin, field, kind: .negativeTimeout, "a negative timeout is taken for none")
            }
        }
    }

    private mutating func check(_ proxy: IgnitionConfig.Proxy) {
        for (field, given) in [("httpProxy", proxy.httpProxy), ("httpsProxy", proxy.httpsProxy)] {
            guard let given else { continue }
            do throws(SourceURL.Fault) {
                let url = try given.get()
                if url.scheme != "http", url.scheme != "https" {
                    error(proxy.origin, field, "a proxy is an http or https URL")
                } else if field == "httpsProxy", url.scheme == "http" {
                    warn(proxy.origin, field, "the way to this proxy is not encrypted")
                }
            } catch {
                self.error(proxy.origin, field, "\(error)")
            }
        }
        checkDuplicates(proxy.noProxy, in: proxy.origin, "noProxy") { $0 }
    }

    mutating func check(_ passwd: IgnitionConfig.Passwd) {
        checkDuplicates(passwd.users, in: passwd.origin, "users", key: "name") { $0.name }
        checkDuplicates(passwd.groups, in: passwd.origin, "groups", key: "name") { $0.name }
        for user in passwd.users {
            checkAccountName(user.name, user.origin)
            checkNumber(user.uid, user.origin, "uid")
            checkDuplicates(user.sshAuthorizedKeys, in: user.origin, "sshAuthorizedKeys") { $0 }
            checkDuplicates(user.groups, in: user.origin, "groups") { $0 }
            for (field, text) in [("gecos", user.gecos), ("homeDir", user.homeDir), ("shell", user.shell)] {
                if let text, text.utf8.contains(where: { $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: "\n") }) {
                    error(user.origin, field, "a colon or a newline is not allowed in the password file")
                }
            }
        }
        for group in passwd.groups {
            checkAccountName(group.name, group.origin)
            checkNumber(group.gid, group.origin, "gid")
        }
    }

    private mutating func checkAccountName(_ name: String, _ origin: IgnitionConfig.Origin) {
        guard require(name, origin, "name") else { return }
        if name.hasPrefix("-")
            || name.unicodeScalars.contains(where: { $0 == ":" || $0 == "/" || $0.properties.isWhitespace })
        {
            error(origin, "name", "\"\(shown(name))\" cannot be the name of an account")
        }
    }

    /// Reports a user or group number that is not 32 bits, or is 4294967295, which means "none" to the kernel.
    mutating func checkNumber(_ number: Int?, _ origin: IgnitionConfig.Origin, _ field: String) {
        if let number, !(0..<Int(UInt32.max)).contains(number) {
            error(origin, field, "\(number) is not a usable number; use 0 to 4294967294")
        }
    }

    mutating func check(_ arguments: IgnitionConfig.KernelArguments) {
        var first: [ByteKey: String] = [:]
        for (list, texts) in [
            ("shouldExist", arguments.shouldExist), ("shouldNotExist", arguments.shouldNotExist),
        ] {
            for (index, text) in texts.enumerated() {
                let place = "\(list)[\(index)]"
                if let earlier = first[ByteKey(text)] {
                    error(arguments.origin, place, "\"\(shown(text))\" is in \(earlier) already")
                } else {
                    first[ByteKey(text)] = place
                }
            }
        }
    }
}
