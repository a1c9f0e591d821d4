//! What docs/security.md says is refused or survived: by requests as the router sees them, and by bytes over sockets of
//! this machine where the server itself has to hold.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use super::*;
use crate::listen::Patient;

/// No answer takes so long on any machine.
const LONG: Duration = Duration::from_secs(60);

/// Serves the fixture on a port of this machine until the test ends.
async fn served(fixture: &Fixture) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (store, settings) = (fixture.store.clone(), fixture.settings.clone());
    tokio::spawn(crate::serve(listener, store, settings, std::future::pending()));
    address
}

/// The same with a server that is soon out of patience and has room for few connections.
async fn served_hastily(fixture: &Fixture, patience: Duration, connections: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = router(fixture.store.clone(), fixture.settings.clone());
    let listener = Patient::hasty(listener, patience, connections);
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn connect(address: SocketAddr, sent: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may have had enough before all is sent.
    let _ = stream.write_all(sent.as_bytes()).await;
    stream
}

/// Everything that comes until the server closes the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end too.
    let _ = timeout(LONG, stream.read_to_end(&mut bytes)).await.expect("the connection stays open for ever");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The answer to these bytes, on a connection of their own.
async fn raw(address: SocketAddr, sent: &str) -> String {
    rest(&mut connect(address, sent).await).await
}

/// A request for a page, after which the server closes.
fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn no_path_of_a_request_reaches_the_file_system() {
    let fixture = Fixture::new().await;
    std::fs::write(fixture._dir.path().join("secret.txt"), "root:secret").unwrap();
    let address = served(&fixture).await;
    let ways = [
        "/../secret.txt",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/..\\..\\etc\\passwd",
        "/assets/../../../../etc/passwd",
        "/assets/x/..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/assets/..%252f..%252fetc/passwd",
        "/assets/x/style.css%00.png",
        "/studies/..%2F..%2F..%2Fetc%2Fpasswd",
        "/studies/..%2Fsecret.txt/report.html",
        "/studies/%2Fetc%2Fpasswd/trials/0",
        "/studies/x/figures/..%2F..%2Fsecret.txt",
    ];
    let own = ["figures/..%2F..%2F..%2Fetc%2Fpasswd.svg", "figures/%2Fetc%2Fpasswd", "trials/..%2F..%2Fsecret.txt"];
    let own = own.map(|end| format!("{ADDRESS}/{end}"));
    for target in ways.into_iter().chain(own.iter().map(String::as_str)) {
        let answer = raw(address, &get(target)).await;
        assert!(matches!(status(&answer), 400 | 404), "{target}: {answer}");
        assert!(!answer.contains("root:"), "{target}");
    }
}

#[tokio::test]
async fn a_name_of_a_study_stays_a_name() {
    let fixture = Fixture::new().await;
    let names = [
        "a\r\nSet-Cookie: nightsweep=1",
        "\"><script>alert(1)</script>",
        "' onmouseover='alert(1)",
        "../../etc/passwd",
        "javascript:alert(1)",
        "{{7*7}}${7*7}",
        "\u{202e}txt.exe",
        "%2e%2e%2f",
        "?state=failed#x",
        ".",
        "..",
    ];
    for name in names {
        fixture.store.create_study(new_study(name)).await.unwrap();
    }
    let address = served(&fixture).await;
    let (_, list) = fixture.get("/studies").await;
    check_that_nothing_acts(&list, "the list of studies");
    for link in list.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(link.starts_with('/') && !link.starts_with("//"), "{link}");
    }
    let links: Vec<&str> = list.split("href=\"/studies/").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    for link in &links {
        let answer = raw(address, &get(&format!("/studies/{link}"))).await;
        assert_eq!(status(&answer), 200, "{link}");
        let head = answer.split("\r\n\r\n").next().unwrap();
        assert!(!head.to_lowercase().contains("\r\nset-cookie"), "{head}");
        check_that_nothing_acts(answer.split("\r\n\r\n").nth(1).unwrap(), link);
    }
    assert_eq!(links.len(), names.len() + 1);
}

#[tokio::test]
async fn no_note_acts() {
    let fixture = Fixture::new().await;
    let address = format!("/api/v1{ADDRESS}/trials/0/annotations");
    let notes = [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<svg onload=alert(1)><script>alert(1)</script></svg>",
        "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
        "<iframe src=javascript:alert(1)></iframe><object data=x></object><embed src=x>",
        "<form action=//evil.example><input name=token></form>",
        "<base href=//evil.example><meta http-equiv=refresh content=0><link rel=stylesheet href=//evil.example>",
        "<style>@import '//evil.example'</style><p style=\"background:url(//evil.example)\">x</p>",
        "[x](javascript:alert(1)) [y](JaVaScRiPt:alert(1)) [z](data:text/html,x) [v](vbscript:x)",
        "[x](java&#x0a;script:alert(1)) <a href=\"jav&#x09;ascript:alert(1)\">x</a>",
        "<javascript:alert(1)> ![x](http://evil.example/x.png) ![y](x\" onerror=\"alert(1))",
        "[x]: javascript:alert(1)\n\n[x]",
        "```\n</code></pre><script>alert(1)</script>\n```",
        "`</code><img src=x onerror=alert(1)>`",
        "<a href=x onclick=alert(1) autofocus onfocus=alert(1)>x</a><details open ontoggle=alert(1)>",
    ];
    for note in notes {
        let body =
            serde_json::json!({ "note": note, "tags": [note.chars().take(50).collect::<String>()], "by": "eve" });
        let request = write(&address).body(Body::from(body.to_string())).unwrap();
        assert_eq!(fixture.ask(request).await.status(), StatusCode::OK, "{note}");
        for page in [format!("{ADDRESS}/trials/0"), ADDRESS.to_owned()] {
            let (_, page) = fixture.get(&page).await;
            check_that_nothing_acts(&page, note);
        }
    }
}

/// Looks at every tag of a page: scripts and styles are files of ours, no attribute is a handler or a style, no address
/// leads elsewhere.
fn check_that_nothing_acts(page: &str, about: &str) {
    for tag in page.split('<').skip(1).map(str::to_lowercase) {
        let name = tag.split([' ', '/', '>', '\n']).next().unwrap();
        if tag.starts_with(['/', '!']) {
            continue;
        }
        let mut script = None;
        for (attribute, value) in attributes(&tag[name.len()..]) {
            assert!(!attribute.starts_with("on") && attribute != "style", "{about}: <{tag}");
            if ["href", "src", "action", "xlink:href"].contains(&attribute) {
                // Before a scheme's colon stand letters only; an address without a scheme is one of ours.
                let scheme = |text: &str| text.chars().all(|it| it.is_ascii_alphanumeric() || "+.-".contains(it));
                let leads_out = value.split_once(':').is_some_and(|(before, _)| scheme(before));
                let is_plain = !value.contains("&#") && !value.contains(char::is_control);
                assert!(
                    is_plain && !value.starts_with("//") && (!leads_out || value.starts_with("data:image/")),
                    "{about}: <{tag}"
                );
                script = Some(value);
            }
        }
        let forbidden = ["iframe", "object", "embed", "base", "style", "math", "foreignobject"];
        assert!(!forbidden.contains(&name), "{about}: <{tag}");
        assert!(name != "script" || script.is_some_and(|it| it.starts_with("/assets/")), "{about}: <{tag}");
    }
}

/// Names and values of the attributes of a tag, from behind its name to its end.
fn attributes(tag: &str) -> Vec<(&str, &str)> {
    let (mut rest, mut found) = (tag.trim_start(), Vec::new());
    while !rest.is_empty() && !rest.starts_with(['>', '/']) {
        let end = rest.find(['=', ' ', '>', '\n']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let (value, after) = match after.strip_prefix("=\"") {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => {
                let bare = after.strip_prefix('=').unwrap_or("");
                let end = bare.find([' ', '>', '\n']).unwrap_or(bare.len());
                (&bare[..end], if bare.is_empty() { after } else { &bare[end..] })
            }
        };
        found.push((name, value));
        rest = after.trim_start_matches([' ', '\n']);
    }
    found
}

#[tokio::test]
async fn two_hosts_or_the_address_of_another_are_refused() {
    let fixture = Fixture::new().await;
    let address = served(&fixture).await;
    let check = async |head: &str, expected: u16| {
        let answer = raw(address, &format!("{head}\r\nConnection: close\r\n\r\n")).await;
        assert_eq!(status(&answer), expected, "{head}: {answer}");
    };
    check("GET /studies HTTP/1.1\r\nHost: localhost", 200).await;
    check("GET /studies HTTP/1.1\r\nHost: evil.example", 421).await;
    check("GET /studies HTTP/1.1\r\nHost: localhost\r\nHost: evil.example", 421).await;
    check("GET /studies HTTP/1.1\r\nHost: evil.example\r\nHost: localhost", 421).await;
    check("GET http://evil.example/studies HTTP/1.1\r\nHost: localhost", 421).await;
    check("GET http://localhost/studies HTTP/1.1\r\nHost: localhost", 200).await;
    check("GET /studies HTTP/1.1\r\nX-Forwarded-Host: localhost", 421).await;
    check("GET /studies HTTP/1.0\r\nHost: localhost@evil.example", 421).await;
}

#[tokio::test]
async fn looking_changes_nothing_and_no_other_method_does() {
    let fixture = Fixture::new().await;
    let before = fixture.store.last_seq(fixture.study).await.unwrap();
    let api = format!("/api/v1{ADDRESS}");
    for address in [
        ADDRESS.to_owned(),
        format!("{ADDRESS}/trials/0"),
        format!("{api}/orders"),
        format!("{api}/trials/0/annotations"),
    ] {
        for method in ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
            let query = format!("{address}?order=stop&trial=0&starred=true&note=x");
            let request = Request::builder().method(method).uri(&query).header(HOST, "localhost");
            let request = request.header(CONTENT_TYPE, "application/json").body(Body::from("{\"starred\":true}"));
            let answer = fixture.ask(request.unwrap()).await;
            assert!(!answer.status().is_server_error(), "{method} {query}");
            let allowed = answer.headers().get("access-control-allow-origin");
            assert!(allowed.is_none(), "{method} {query}");
        }
    }
    assert_eq!(fixture.store.last_seq(fixture.study).await.unwrap(), before);
}

#[tokio::test]
async fn a_body_without_end_is_not_read_to_its_end() {
    let fixture = Fixture::new().await;
    // What was refused is not read on for long.
    let address = served_hastily(&fixture, Duration::from_secs(2), 64).await;
    let path = format!("/api/v1{ADDRESS}/trials/0/annotations");
    for path in [path.as_str(), "/login"] {
        let kind = if path == "/login" { "application/x-www-form-urlencoded" } else { "application/json" };
        let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n");
        let body = "x".repeat(200_000);
        let told = raw(address, &format!("{head}Content-Length: 200000\r\nConnection: close\r\n\r\n{body}")).await;
        assert_eq!(status(&told), 413, "{path}: {told}");
        // Of unknown length: chunks until the server has enough, which is long before 64 MiB.
        let mut stream = connect(address, &format!("{head}Transfer-Encoding: chunked\r\n\r\n")).await;
        let chunk = format!("10000\r\n{}\r\n", "x".repeat(65_536));
        let mut sent = 0;
        while sent < 1024 && timeout(LONG, stream.write_all(chunk.as_bytes())).await.unwrap().is_ok() {
            sent += 1;
        }
        assert!(sent < 1024, "{path}");
    }
    assert_eq!(fixture.get(ADDRESS).await.0, StatusCode::OK);
}

#[tokio::test]
async fn headers_without_end_are_refused() {
    let fixture = Fixture::new().await;
    let address = served(&fixture).await;
    let check = async |more: String, expected: &[u16]| {
        let answer = raw(address, &format!("GET /studies HTTP/1.1\r\nHost: localhost\r\n{more}\r\n\r\n")).await;
        assert!(expected.contains(&status(&answer)), "{answer}");
    };
    check((0..5000).map(|at| format!("X-{at}: x\r\n")).collect(), &[431]).await;
    // The connection may be reset before its answer is read.
    check(format!("X: {}", "x".repeat(4 << 20)), &[431, 0]).await;
    check("Cookie: nightsweep".to_owned() + &";".repeat(100_000) + "\r\nConnection: close", &[200]).await;
    let long = raw(address, &get(&format!("/studies?x={}", "x".repeat(200_000)))).await;
    assert!(matches!(status(&long), 414 | 431 | 400), "{}", status(&long));
    assert_eq!(status(&raw(address, &get("/studies")).await), 200);
}

#[tokio::test]
async fn what_is_no_request_ends_its_connection() {
    let fixture = Fixture::new().await;
    let address = served(&fixture).await;
    let hidden = "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\
                  GET /studies HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    // A second request that a proxy would not see gets nothing that the first does not: both are asked of the same guard.
    assert!(!raw(address, hidden).await.contains(" 500 "));
    for bytes in [
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03",
        "hello\r\n\r\n",
        "GET  HTTP/1.1\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
    ] {
        let answer = raw(address, bytes).await;
        assert!(matches!(status(&answer), 400 | 0), "{bytes:?}: {answer}");
    }
    assert_eq!(status(&raw(address, &get("/studies")).await), 200);
}

#[tokio::test]
async fn an_address_that_asks_for_too_much_is_told_so() {
    let fixture = Fixture::new().await;
    let many = |part: &str, count: usize| part.repeat(count);
    let check = async |query: String, expected: StatusCode| {
        let (status, page) = fixture.get(&format!("{ADDRESS}?{query}")).await;
        assert_eq!(status, expected, "{}", &query[..query.len().min(60)]);
        assert!(page.len() < 2_000_000, "{}: {}", &query[..query.len().min(60)], page.len());
    };
    check(format!("filter={}lr%3E0{}", many("(", 5000), many(")", 5000)), StatusCode::BAD_REQUEST).await;
    check(format!("filter={}lr%3E0", many("not+", 5000)), StatusCode::BAD_REQUEST).await;
    check(format!("filter=lr%3E0{}", many("+and+lr%3E0", 2000)), StatusCode::BAD_REQUEST).await;
    check(format!("filter={}", many("%00", 5000)), StatusCode::BAD_REQUEST).await;
    check("filter=%22lr%22;DROP+TABLE+trials".to_owned(), StatusCode::BAD_REQUEST).await;
    check("sort=lr;DROP+TABLE+trials".to_owned(), StatusCode::BAD_REQUEST).await;
    check("offset=18446744073709551615&limit=1000".to_owned(), StatusCode::OK).await;
    check(format!("columns={}", many("lr,value,", 5000)), StatusCode::OK).await;
    check(format!("columns={}", many("x,", 5000)), StatusCode::BAD_REQUEST).await;
    check(many("column=lr&", 5000), StatusCode::OK).await;
    check(many("state=failed&", 4000), StatusCode::OK).await;
    check(format!("filter=%22{}%22", many("%3C", 7000)), StatusCode::OK).await;
    check(format!("filter=%22{}%22", many("x", 50_000)), StatusCode::BAD_REQUEST).await;
    check(format!("sort={}", many("x", 50_000)), StatusCode::BAD_REQUEST).await;
    check(format!("sort={}", many("x", 1000)), StatusCode::BAD_REQUEST).await;
    let trials: Vec<String> = (0..10_000).map(|number| number.to_string()).collect();
    let (status, page) = fixture.get(&format!("{ADDRESS}/compare?trials={}", trials.join(","))).await;
    assert_eq!((status, page.len() < 10_000), (StatusCode::BAD_REQUEST, true));
    assert_eq!(fixture.get(ADDRESS).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_slow_client_is_let_go_while_others_are_served() {
    let fixture = Fixture::new().await;
    let address = served_hastily(&fixture, Duration::from_millis(700), 64).await;
    let slow = [
        "",
        "GET /studies HTTP/1.1\r\nHost: loc",
        "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx",
        "POST /login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
        // Done, but the connection stays.
        "GET /studies HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ];
    let mut held = Vec::new();
    for sent in slow {
        held.push(connect(address, sent).await);
    }
    assert_eq!(status(&raw(address, &get("/studies")).await), 200);
    let began = Instant::now();
    for (stream, sent) in held.iter_mut().zip(slow) {
        // A letter now and then keeps nothing open.
        while began.elapsed() < LONG && !sent.is_empty() && stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        rest(stream).await;
    }
    assert!(began.elapsed() < LONG);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_let_go() {
    let fixture = Fixture::new().await;
    let address = served_hastily(&fixture, Duration::from_millis(300), 1).await;
    let plotly = crate::assets::asset("plotly.js");
    // More than sockets keep for a reader.
    let request = format!("GET {plotly} HTTP/1.1\r\nHost: localhost\r\n\r\n").repeat(20);
    let _held = connect(address, &request).await;
    // There is room for one connection: this one is served when that one is let go.
    assert_eq!(status(&raw(address, &get("/studies")).await), 200);
}

#[tokio::test]
async fn connections_without_end_wait_until_one_is_free() {
    let fixture = Fixture::new().await;
    let address = served_hastily(&fixture, LONG, 8).await;
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(connect(address, "GET /studies HT").await);
    }
    let mut next = connect(address, &get("/studies")).await;
    let mut byte = [0];
    assert!(timeout(Duration::from_millis(300), next.read_exact(&mut byte)).await.is_err());
    held.pop();
    assert_eq!(status(&rest(&mut next).await), 200);
}

#[tokio::test]
async fn a_thousand_event_streams_are_survived() {
    let fixture = Fixture::new().await;
    let address = served(&fixture).await;
    let request = format!("GET {ADDRESS}/live HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let (mut open, mut refused) = (Vec::new(), 0);
    for _ in 0..1000 {
        let mut stream = connect(address, &request).await;
        let mut start = [0; 12];
        timeout(LONG, stream.read_exact(&mut start)).await.unwrap().unwrap();
        match &start {
            b"HTTP/1.1 200" => open.push(stream),
            // The connection is closed, so that it takes nobody's place.
            b"HTTP/1.1 503" => {
                rest(&mut stream).await;
                refused += 1;
            }
            other => panic!("{}", String::from_utf8_lossy(other)),
        }
    }
    assert_eq!((open.len(), refused), (128, 872));
    assert_eq!(status(&raw(address, &get(ADDRESS)).await), 200);
    drop(open);
    // Which streams ended is seen when the next word is said on them.
    fixture.store.append(fixture.study, &Event::Closed { reason: "done".to_owned(), needs_help: false }).await.unwrap();
    let began = Instant::now();
    loop {
        let mut start = [0; 12];
        let mut stream = connect(address, &request).await;
        stream.read_exact(&mut start).await.unwrap();
        if &start == b"HTTP/1.1 200" {
            break;
        }
        assert!(began.elapsed() < LONG);
    }
}

#[tokio::test]
async fn a_host_name_that_is_not_ours_is_refused() {
    let mut fixture = Fixture::new().await;
    fixture.settings = WebSettings::default().with_host("night.example");
    let check = async |host: &str, expected: StatusCode| {
        let request = Request::get("/studies").header(HOST, host).body(Body::empty()).unwrap();
        assert_eq!(fixture.ask(request).await.status(), expected, "{host}");
    };
    for host in ["localhost", "localhost:9000", "127.0.0.1:1", "[::1]:8787", "[::1]", "10.0.0.7", "NIGHT.example:80"] {
        check(host, StatusCode::OK).await;
    }
    for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8787", "night.example.evil", ""] {
        check(host, StatusCode::MISDIRECTED_REQUEST).await;
    }
}

#[tokio::test]
async fn without_the_token_nothing_is_told() {
    let mut fixture = Fixture::new().await;
    let public = "0.0.0.0:8787".parse().unwrap();
    assert!(WebSettings::for_address(public, None).is_err());
    assert!(Token::chosen("too short").is_err());
    let token = Token::random().unwrap();
    assert_ne!(token.text(), Token::random().unwrap().text());
    fixture.settings = WebSettings::for_address(public, Some(token.clone())).unwrap();

    for address in [
        "/",
        ADDRESS,
        "/metrics",
        "/api/v1/studies",
        &crate::assets::asset("live.js"),
        &format!("{ADDRESS}?token=guess"),
    ] {
        let (status, page) = fixture.get(address).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{address}");
        assert!(!page.contains("night") || page.contains("nightsweep") && !page.contains("0.75"), "{address}");
    }
    let with = async |name, value: String| {
        fixture.ask(request("/studies").header(name, value).body(Body::empty()).unwrap()).await.status()
    };
    assert_eq!(with(AUTHORIZATION, format!("Bearer {}", token.text())).await, StatusCode::OK);
    assert_eq!(with(AUTHORIZATION, "Bearer guess".to_owned()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(with(COOKIE, format!("nightsweep={}", token.text())).await, StatusCode::UNAUTHORIZED);

    let link = request(&format!("//evil.example?token={}", token.text())).body(Body::empty()).unwrap();
    let entered = fixture.ask(link).await;
    assert_eq!(
        (entered.status(), &entered.headers()[LOCATION]),
        (StatusCode::SEE_OTHER, &"/evil.example".parse().unwrap())
    );
    let cookie = entered.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains(token.text()));
    assert_eq!(with(COOKIE, format!("a=b; {}", cookie.split(';').next().unwrap())).await, StatusCode::OK);

    let form = |text: &str| {
        let request =
            Request::post("/login").header(HOST, "10.0.0.7").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        request.body(Body::from(format!("token={text}"))).unwrap()
    };
    assert_eq!(fixture.ask(form("guess")).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(fixture.ask(form(token.text())).await.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn every_answer_tells_the_browser_what_to_keep_to() {
    let fixture = Fixture::new().await;
    for address in ["/studies", "/nothing", "/api/v1/studies", &crate::assets::asset("style.css")] {
        let response = fixture.ask(request(address).body(Body::empty()).unwrap()).await;
        let policy = response.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{address}");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    }
}

#[tokio::test]
async fn another_site_changes_nothing() {
    let fixture = Fixture::new().await;
    let address = format!("/api/v1{ADDRESS}/trials/0/annotations");
    let before = fixture.store.last_seq(fixture.study).await.unwrap();
    let check = async |headers: &[(&str, &str)], expected: StatusCode| {
        let mut request = Request::post(&address).header(HOST, "127.0.0.1:8787");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = fixture.ask(request.body(Body::from(r#"{ "starred": true }"#)).unwrap()).await;
        assert_eq!(response.status(), expected, "{headers:?}");
    };
    let json = ("content-type", "application/json");
    check(&[json, ("origin", "http://evil.example")], StatusCode::FORBIDDEN).await;
    check(&[json, ("origin", "http://127.0.0.1:9999")], StatusCode::FORBIDDEN).await;
    check(&[json, ("origin", "null")], StatusCode::FORBIDDEN).await;
    check(&[json, ("sec-fetch-site", "cross-site")], StatusCode::FORBIDDEN).await;
    check(&[("content-type", "text/plain")], StatusCode::FORBIDDEN).await;
    check(&[], StatusCode::FORBIDDEN).await;
    assert_eq!(fixture.store.last_seq(fixture.study).await.unwrap(), before);
    check(&[json], StatusCode::OK).await;
    check(&[json, ("origin", "http://127.0.0.1:8787")], StatusCode::OK).await;
}
