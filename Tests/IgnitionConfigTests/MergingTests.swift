import IgnitionConfig
import JSONText
import Testing

private func config(_ body: String, version: String = "3.4.0", name: String = "config") throws -> IgnitionConfig {
    let text = #"{"ignition":{"version":"\#(version)"}\#(body.isEmpty ? "" : ",")\#(body)}"#
    return try IgnitionConfig.parse(Array(text.utf8), name: name).checked()
}

private func merged(_ parent: String, _ child: String) throws -> IgnitionConfig {
    try config(parent, name: "parent").merged(with: config(child, name: "child"))
}

@Suite struct Merging {
    @Test func aValueTheChildGivesWinsEvenEmpty() throws {
        let result = try merged(
            #""passwd":{"users":[{"name":"a","shell":"/bin/sh","gecos":"A","system":true,"uid":7}]}"#,
            #""passwd":{"users":[{"name":"a","gecos":"","system":false}]}"#)
        #expect(result.passwd.users.count == 1)
        let user = result.passwd.users[0]
        #expect(user.shell == "/bin/sh" && user.gecos == "" && user.system == false && user.uid == 7)
    }

    @Test func entriesKeepTheParentsOrderAndNewOnesFollow() throws {
        let result = try merged(
            #""systemd":{"units":[{"name":"b.service"},{"name":"a.service","dropins":[{"name":"x.conf"}]}]}"#,
            #""systemd":{"units":[{"name":"c.service"},{"name":"a.service","dropins":[{"name":"y.conf"}]}]}"#)
        #expect(result.systemd.units.map(\.name) == ["b.service", "a.service", "c.service"])
        #expect(result.systemd.units[1].dropins.map(\.name) == ["x.conf", "y.conf"])
    }

    @Test func filesDirectoriesAndLinksShareTheirPaths() throws {
        let result = try merged(
            #""storage":{"links":[{"path":"/l","target":"/t"}],"directories":[{"path":"/d"},{"path":"/e"}]}"#,
            #""storage":{"files":[{"path":"/l"}],"links":[{"path":"/d","target":"/u"}]}"#)
        #expect(result.storage.files.map(\.path) == ["/l"])
        #expect(result.storage.links.map(\.path) == ["/d"])
        #expect(result.storage.directories.map(\.path) == ["/e"])
    }

    @Test func resourcesAreMergedFieldByField() throws {
        let result = try merged(
            #""storage":{"files":[{"path":"/f","contents":{"source":"http://a/x","compression":"gzip","#
                + #""httpHeaders":[{"name":"A","value":"1"},{"name":"B","value":"2"}]},"append":[{"source":"data:,a"}]}]}"#,
            #""storage":{"files":[{"path":"/f","contents":{"source":"http://b/y","#
                + #""httpHeaders":[{"name":"A"},{"name":"B","value":"3"},{"name":"C"}]},"append":[{"source":"data:,a"}]}]}"#
        )
        let file = result.storage.files[0]
        #expect(file.contents.source?.text == "http://b/y" && file.contents.isCompressed)
        #expect(file.contents.httpHeaders.map(\.name) == ["B", "C"])
        #expect(file.contents.httpHeaders.map(\.value) == ["3", nil])
        #expect(file.append.map(\.source?.text) == ["data:,a", "data:,a"])
    }

    @Test func kernelArgumentsAreInverted() throws {
        let result = try merged(
            #""kernelArguments":{"shouldExist":["a","b"],"shouldNotExist":["c"]}"#,
            #""kernelArguments":{"shouldExist":["c","b"],"shouldNotExist":["a"]}"#)
        #expect(result.kernelArguments.shouldExist == ["b", "c"])
        #expect(result.kernelArguments.shouldNotExist == ["a"])
    }

    @Test func partitionsMatchByNumberOrElseByLabel() throws {
        let result = try merged(
            #""storage":{"disks":[{"device":"/dev/a","partitions":[{"number":1,"label":"x"},{"label":"y","sizeMiB":1}]}]}"#,
            #""storage":{"disks":[{"device":"/dev/a","partitions":[{"label":"x"},{"label":"y","startMiB":2},{"number":1,"sizeMiB":9}]}]}"#
        )
        let partitions = result.storage.disks[0].partitions
        #expect(partitions.map(\.number) == [1, nil, nil])
        #expect(partitions.map(\.label) == ["x", "y", "x"])
        #expect(partitions.map(\.sizeMiB) == [9, 1, nil])
        #expect(partitions.map(\.startMiB) == [nil, 2, nil])
    }

    @Test func stringsAreAUnionAndOptionsAreStrungTogether() throws {
        let result = try merged(
            #""passwd":{"users":[{"name":"a","sshAuthorizedKeys":["k1","k2"],"groups":["g"]}]},"#
                + #""storage":{"filesystems":[{"device":"/dev/a","format":"ext4","options":["-q"],"mountOptions":["ro"]}]}"#,
            #""passwd":{"users":[{"name":"a","sshAuthorizedKeys":["k2","k3"],"groups":["g","h"]}]},"#
                + #""storage":{"filesystems":[{"device":"/dev/a","options":["-q"],"mountOptions":["ro"]}]}"#
                .replacing(#""options""#, with: #""format":"ext4","options""#))
        #expect(result.passwd.users[0].sshAuthorizedKeys == ["k1", "k2", "k3"])
        #expect(result.passwd.users[0].groups == ["g", "h"])
        #expect(result.storage.filesystems[0].options == ["-q", "-q"])
        #expect(result.storage.filesystems[0].mountOptions == ["ro", "ro"])
    }

    @Test func aMergedElementKnowsWhereEachOfItsFieldsWasWritten() throws {
        let result = try config(
            "\n\n\"storage\":{\"files\":[{\"path\":\"/x\"},{\"path\":\"/f\",\"mode\":420,\"user\":{\"id\":1}}]}",
            name: "parent"
        ).merged(with: config("\n\"storage\":{\"files\":[{\"path\":\"/f\",\"user\":{\"name\":\"a\"}}]}", name: "child"))
        let origin = result.storage.files[1].origin
        #expect(origin.describe("mode") == "storage.files[1].mode, parent line 3")
        #expect(origin.describe("user.name") == "storage.files[0].user.name, child line 2")
        let faults = result.validate().diagnostics
        #expect(
            faults.map(\.description) == [
                "child:2:41: error: storage.files[0].user: an id and a name; give one of them"
            ])
    }

    @Test func whatIsWrittenIsReadAgain() throws {
        let config = try ConfigFixture("valid/every-field.ign").parsed.checked()
        var newest = config
        newest.ignition.version = .newest
        let text = Array(config.json.text().utf8)
        let again = IgnitionConfig.parse(text, name: "cache")
        #expect(again.report.description == "no mistakes")
        #expect(again.config == newest)
        #expect(try IgnitionConfig.decode(text, name: "cache") == newest)
        #expect(again.config?.json == config.json)
    }

    @Test func theEmptyConfigIsWrittenInTheUsualShape() {
        #expect(
            IgnitionConfig().json.text()
                == #"{"ignition":{"version":"3.7.0-experimental","config":{"replace":{}},"timeouts":{},"proxy":{},"#
                + #""security":{"tls":{}}},"storage":{},"systemd":{},"passwd":{},"kernelArguments":{}}"#)
    }
}
