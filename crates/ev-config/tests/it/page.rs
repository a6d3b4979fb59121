//! The page about configuration is the one that the table gives.

#[test]
fn the_page_is_what_the_table_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let page = std::fs::read_to_string(path).expect("the page is there");
    let is_same = page == ev_config::document();
    assert!(is_same, "the options have changed: run `cargo xtask pages`");
}

#[test]
fn the_page_has_every_name_of_every_option() {
    let page = ev_config::document();
    for option in ev_config::options() {
        for variable in option.env {
            assert!(page.contains(&format!("`{variable}`")), "{variable}");
        }
        assert_eq!(page.contains(&format!("`--{}`", option.name)), option.has_flag());
        assert!(page.contains(&option.help.replace('|', "\\|")), "{}", option.name);
    }
}
