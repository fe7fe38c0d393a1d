<?php
/**
 * DokuWiki's settings in the tests: no accounts, pretty paths, its data in our directory.
 */
$conf['title'] = 'A wiki without accounts';
$conf['useacl'] = 0;
$conf['savedir'] = getenv('WIKI_DIR') . '/data';
$conf['userewrite'] = 1;
$conf['useslash'] = 1;
$conf['basedir'] = '/wiki/';
$conf['updatecheck'] = 0;
