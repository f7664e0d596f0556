// From words to BootArguments: which word means what, and what is wrong with it.

import Encoding
import Reporting

extension BootArguments {
    /// Reads the words of a command line; what is wrong with them is in ``warnings`` and ``problems``.
    public init(_ line: KernelCommandLine) {
        commandLine = line
        readRootImage(line)
        readProvisioning(line)
        readProxy(line)
        network.read(line, &warnings, &problems)
        readDebugging(line)
        readModules(line)
        readInit(line)
        checkMachineURLs()
        warnUnknownArguments(line)
        warnOfSurprises(line)
    }

    private mutating func readRootImage(_ line: KernelCommandLine) {
        rootfsURLs = imageURLs(Self.rootfsKey, line.values(Self.rootfsKey))
        let fallbacks = line.words.filter { Self.underscored($0.key) == Self.fallbackKey }
        fallbackURLs = imageURLs(Self.fallbackKey, fallbacks.compactMap(\.value).filter { !$0.isEmpty })
        liveISO = line.last("coreos.liveiso")?.value
        if let word = line.last("coreos.liveiso"), liveISO?.isEmpty ?? true {
            liveISO = nil
            warnings.append("\(word): no label given; looking for a root image elsewhere")
        }
        fromRAM = line.flag("coreos.liveiso.fromram")

        if let text = ours("rootfs_sha256", line)?.value {
            if text.utf8.count == 64, let digest = bytes(hexadecimal: text.utf8) {
                rootfsSHA256 = hexadecimal(digest)
            } else {
                problems.append(
                    ArgumentProblem(
                        .rootImage, "firstlight.rootfs_sha256=\(text)", "a SHA-256 has 64 hexadecimal digits",
                        advice: ["Print it with: sha256sum rootfs.img"]))
            }
        }
        checksMedium = ours("check_medium", line).map { KernelCommandLine(words: [$0]).flag($0.key) } ?? true
        if let text = ours("overlay_size", line)?.value {
            overlaySize = OverlaySize(text)
            if overlaySize == nil {
                warnings.append("firstlight.overlay_size=\(text): not a size like 50%, 512M or 2G; using 50%")
            }
        }
        // The value may be a URL with a password: it stays out of the warning.
        for key in ["root", "ostree"] where line.last(key) != nil {
            warnings.append("\(key)= is not read: coreos.live.rootfs_url or coreos.liveiso names the root image")
        }
    }

    /// Each URL once; one of another kind is a problem.
    private mutating func imageURLs(_ key: String, _ values: [String]) -> [MachineURL] {
        var urls: [MachineURL] = []
        for text in values where !urls.contains(where: { $0.asWritten.text == text }) {
            do throws(URLRefusal) {
                urls.append(try Self.url(text, of: ["http", "https", "tftp"]))
            } catch {
                let reason = error.reason ?? "only http, https and tftp are supported"
                problems.append(ArgumentProblem(.rootImage, "\(key)=\(RedactedURL(text))", reason))
            }
        }
        return urls
    }

    private static func url(_ text: String, of schemes: [String]) throws(URLRefusal) -> MachineURL {
        let url: SourceURL
        do throws(SourceURL.Fault) { url = try SourceURL(parsing: text) } catch {
            throw URLRefusal(reason: error == .noScheme ? nil : "\(error)")
        }
        guard schemes.contains(url.scheme) else { throw URLRefusal(reason: nil) }
        guard !url.host.isEmpty else { throw URLRefusal(reason: "the URL names no host") }
        return MachineURL(url)
    }

    private mutating func readProvisioning(_ line: KernelCommandLine) {
        // Its generator reads an empty value as false, unlike dracut.
        ignitionFirstboot = line.last("ignition.firstboot")?.value != "" && line.flag("ignition.firstboot")
        platform = line.value("ignition.platform.id")
        readConfigURL(line)
        readConfigVolume(line)
        planOnly = ours("plan", line).map { KernelCommandLine(words: [$0]).flag($0.key) } ?? false
        isStrict = ours("strict", line).map { KernelCommandLine(words: [$0]).flag($0.key) } ?? false
        if let text = ours("report_url", line)?.value, !text.isEmpty {
            do throws(URLRefusal) {
                reportURL = try Self.url(text, of: ["http", "https"])
            } catch {
                let reason = error.reason ?? "only http and https"
                warnings.append("\(Self.reportKey)=\(RedactedURL(text)): \(reason); no report is posted")
            }
        }
    }

    /// A malformed one stops a boot whose URLs are asked by it; what a config names later is then asked without it.
    private mutating func readProxy(_ line: KernelCommandLine) {
        guard let text = ours("proxy", line)?.value, !text.isEmpty else { return }
        // libcurl takes what has no scheme for http.
        let whole = text.contains("://") ? text : "http://\(text)"
        do throws(URLRefusal) {
            proxy = try Self.proxy(whole)
        } catch {
            let reason = error.reason ?? "only http, https, socks4, socks4a, socks5 and socks5h"
            let argument = "\(Self.proxyKey)=\(RedactedURL(whole))"
            let urls = rootfsURLs + fallbackURLs + (ignitionFirstboot ? [configURL].compactMap(\.self) : [])
            if urls.contains(where: { ["http", "https"].contains($0.asWritten.scheme) }) {
                problems.append(
                    ArgumentProblem(
                        .boot, argument, reason,
                        advice: ["The form is: firstlight.proxy=http://[USER:PASSWORD@]HOST:PORT"]))
            } else {
                warnings.append("\(argument): \(reason); no proxy is used")
            }
        }
    }

    private static func proxy(_ text: String) throws(URLRefusal) -> SourceURL {
        let schemes = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"]
        let proxy = try url(text, of: schemes).asWritten
        if let port = proxy.port, !port.isEmpty, !(Int(port).map { (1...65_535).contains($0) } ?? false) {
            throw URLRefusal(reason: "the port is not between 1 and 65535")
        }
        if proxy.path.utf8.contains(UInt8(ascii: "@")) {
            throw URLRefusal(reason: "there is an @ behind the host; in a password / is written as %2F")
        }
        return proxy
    }

    private mutating func readConfigURL(_ line: KernelCommandLine) {
        guard let text = line.value(Self.configKey) else { return }
        do throws(SourceURL.Fault) {
            configURL = MachineURL(try SourceURL(parsing: text))
        } catch {
            problems.append(
                ArgumentProblem(
                    .configURL, "\(Self.configKey)=\(RedactedURL(text))", "\(error)", advice: ["Check the URL."]))
        }
    }

    private mutating func readConfigVolume(_ line: KernelCommandLine) {
        let keys = ["ignition.config.device", "ignition.config.path"]
        let given = keys.filter { line.value($0) != nil }
        guard let first = given.first else { return }
        if line.value(Self.configKey) != nil {
            warnings.append("\(given.joined(separator: " and ")) not used: ignition.config.url comes first")
            return
        }
        guard let label = line.value(keys[0]), let path = line.value(keys[1]) else {
            let other = first == keys[0] ? keys[1] : keys[0]
            problems.append(
                ArgumentProblem(
                    .provisioning, "\(first)", "goes together with \(other), which is not given",
                    advice: ["Give both: ignition.config.device=LABEL ignition.config.path=PATH."]))
            return
        }
        configVolume = ConfigVolume(label: label, path: path)
        if configVolume == nil {
            problems.append(
                ArgumentProblem(
                    .provisioning, "\(keys[0])=\(label) \(keys[1])=\(path)", "names no file on a labelled volume",
                    advice: ["LABEL is one name below /dev/disk/by-label, PATH a file on that volume."]))
        }
    }

    private mutating func readDebugging(_ line: KernelCommandLine) {
        for word in line.words where word.key == "rd.break" {
            guard let name = word.value, !name.isEmpty else {
                breakPoints.insert(.cleanup)
                continue
            }
            if let point = BreakPoint(rawValue: name) {
                breakPoints.insert(point)
            } else if ["0", "no", "off"].contains(name) {
                continue
            } else {
                let known = BreakPoint.allCases.map(\.rawValue)
                warnings.append(
                    "\(word): no such point, using \(BreakPoint.cleanup.rawValue); " + suggestion(for: name, in: known))
                breakPoints.insert(.cleanup)
            }
        }
        shellAllowed = line.flag("rd.shell", default: true)
        if let word = line.last("rd.emergency"), let value = word.value {
            if let action = EmergencyAction(rawValue: value) {
                emergency = action
            } else {
                let known = EmergencyAction.allCases.map(\.rawValue)
                warnings.append("\(word): no such action; " + suggestion(for: value, in: known))
            }
        }
        if line.flag("rd.debug") { logLevel = .debug }
        if let text = ours("log_level", line)?.value {
            if let level = LogLevel(rawValue: text) {
                logLevel = level
            } else {
                let known = LogLevel.allCases.map(\.rawValue)
                warnings.append("firstlight.log_level=\(text): no such level; " + suggestion(for: text, in: known))
            }
        }
        for value in line.values("console") {
            let device = String(value.prefix { $0 != "," })
            consoles.removeAll { $0 == device }
            if !device.isEmpty { consoles.append(device) }
        }
        quiet = line.last("quiet") != nil
    }

    private mutating func readModules(_ line: KernelCommandLine) {
        func modules(_ keys: [String]) -> [String] {
            keys.flatMap { line.values($0) }.flatMap { $0.split(separator: ",") }.map { Self.underscored($0) }
        }
        blockedModules = Set(modules(["modprobe.blacklist", "rd.driver.blacklist", "module_blacklist"]))
        extraModules = modules(["rd.driver.pre", "rd.modules_load", "modules_load", "rd.driver.post"])
        for word in line.words {
            guard let dot = word.key.firstIndex(of: "."), dot > word.key.startIndex else { continue }
            let module = Self.underscored(word.key[..<dot])
            let parameter = word.key[word.key.index(after: dot)...]
            // A parameter's name is one identifier; `rd.`, `systemd.` and the like are not modules.
            guard !Self.namespaces.contains(module), !parameter.isEmpty, !parameter.contains(".") else { continue }
            let value = word.value.map { $0.contains(" ") ? "=\"\($0)\"" : "=\($0)" } ?? ""
            moduleParameters[module, default: []].append(Self.underscored(parameter) + value)
        }
        if let text = line.value("rd.timeout") {
            // At most 68 years, which is as good as for ever and fits every counter of seconds.
            deviceTimeout = Int(text).flatMap { (0...Int(Int32.max)).contains($0) ? $0 : nil }
            if deviceTimeout == nil { warnings.append("rd.timeout=\(text): not a number of seconds") }
        }
    }

    private mutating func readInit(_ line: KernelCommandLine) {
        initProgram = line.value("init")
        let levels = ["1", "2", "3", "4", "5", "s", "S", "single", "emergency", "rescue", "auto"]
        let bare = line.words.filter { $0.value == nil && levels.contains($0.key) }
        initArguments = (bare + line.afterDashes).map(\.description)
    }

    /// Mistyped arguments are dangerous because nothing else notices them.
    private mutating func warnUnknownArguments(_ line: KernelCommandLine) {
        let documented = Self.documentation.map(\.argument)
        let families: [(prefix: String, others: [String])] = [
            ("firstlight.", []), ("coreos.live", []), ("ignition.", []),
        ]
        for word in line.words {
            guard let family = families.first(where: { word.key.hasPrefix($0.prefix) }) else { continue }
            let known = documented.filter { $0.hasPrefix(family.prefix) } + family.others
            let key = family.prefix == "firstlight." ? Self.underscored(word.key) : word.key
            guard !known.contains(key) else { continue }
            warnings.append("\(word.key) is not known; " + suggestion(for: key, in: known))
        }
        for (key, names) in [
            ("coreos.config.url", "ignition.config.url"), ("flatcar.config.url", "ignition.config.url"),
        ]
        where line.last(key) != nil {
            warnings.append("\(key) is not read; use \(names)")
        }
    }

    /// Words before a dot that are not modules.
    private static let namespaces: Set<String> = [
        "coreos", "firstlight", "flatcar", "ib", "ignition", "luks", "modprobe", "net", "ostree", "rd", "systemd",
        "udev",
        "vconsole",
    ]

    static func underscored(_ name: some StringProtocol) -> String {
        name.utf8.contains(UInt8(ascii: "-")) ? String(name.map { $0 == "-" ? "_" : $0 }) : String(name)
    }

    /// The last `firstlight.NAME`, dashes and underscores alike.
    private func ours(_ name: String, _ line: KernelCommandLine) -> KernelCommandLine.Word? {
        line.words.last { Self.underscored($0.key) == "firstlight.\(name)" }
    }

    /// Texts that dracut's rule for flags reads as yes, which may surprise the people who wrote them.
    private mutating func warnOfSurprises(_ line: KernelCommandLine) {
        let flags = [
            "coreos.force_persist_ip", "coreos.liveiso.fromram", "coreos.no_persist_ip", "firstlight.plan",
            "firstlight.strict",
            "ignition.firstboot", "net.ifnames", "rd.bootif", "rd.debug", "rd.neednet", "rd.peerdns", "rd.shell",
        ]
        for key in flags {
            guard let word = line.last(key), let text = word.value else { continue }
            let meansNo = ["0", "no", "off", "false", "n", "f"].contains(text.lowercased())
            if meansNo, line.flag(key) { warnings.append("\(word) reads as yes: only 0, no and off are false") }
        }
    }
}

/// Why a URL cannot be used; without a reason it is of a scheme that is not supported.
private struct URLRefusal: Error {
    var reason: String?
}

extension KernelCommandLine {
    init(words: [Word]) {
        self.words = words
        afterDashes = []
    }
}

/// "did you mean X?", or where nothing is near, everything there is.
func suggestion(for word: String, in known: [String]) -> String {
    if let near = nearest(to: word, in: known) { return "did you mean \(near)?" }
    return "known: \(known.joined(separator: ", "))"
}
